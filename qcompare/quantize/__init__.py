"""From a recipe to a model: `simulate` rounds weights and activations in memory."""
