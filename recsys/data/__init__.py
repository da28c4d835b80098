"""Logs to Parquet tables to jagged batches."""
