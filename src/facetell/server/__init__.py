"""Readings over HTTP: `create_app(analyzer, settings)` and what it consists of.

Importing this package brings in neither FastAPI nor uvicorn; its modules do.
"""
