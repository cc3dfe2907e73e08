"""What users construct, and what the estimators share."""
