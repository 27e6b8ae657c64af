"""What every network takes and what z is: the same for all phases and encoders."""

SAMPLE_RATE = 44_100  # Hz, the model's rate
MODEL_LUFS = -20.0  # the model's level: every signal is scaled to this loudness before the model
LATENT_SIZE = 512  # size of z, at every width
