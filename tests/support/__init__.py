"""What tests share: each file has a subject, its functions, its classes, and its fixtures."""
