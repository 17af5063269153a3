"""What is modelled: points of a layer, as observations."""
