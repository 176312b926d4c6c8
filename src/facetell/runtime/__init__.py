"""From a picture to what the faces in it look like. Light: ONNX Runtime and NumPy."""

__all__ = ["DEFAULT_MODEL"]

#: The bundled model that reads where none is named.
DEFAULT_MODEL = "strong-plus"
