"""The version that emitted sources name."""

VERSION = "0.1.0"
