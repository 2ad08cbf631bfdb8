"""The HTTP door: ``uvicorn --factory service.app:create_app``."""
