"""The graph of a layer: values with named axes, the ops between them, and their reference meaning."""
