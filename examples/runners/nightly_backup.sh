#!/bin/sh
# Any command as a job. Run it with CALLBOARD_URL and CALLBOARD_TOKEN set.
# docs: begin
callboard run --type nightly-backup --tag nightly -- sh -c '
  for part in 1 2 3 4; do
    tar -cf /dev/null /etc/hosts
    echo "::progress $((part * 25)) part $part of 4"
  done'
# docs: end
