"""Runs the server; its options are granian's."""

from webapp.gateway.server import main

main()
