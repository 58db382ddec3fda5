"""What the folder of the voices' model holds."""

MODEL = "voices.onnx"
SEGMENTS = "segments.onnx"  # the second network; without it the first one does alone
INSTALL = "stenopool models install speakers"
