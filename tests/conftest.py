"""Settings for all tests."""

from hypothesis import settings

# a busy machine may take long over an example; that is not what the tests are about
settings.register_profile("ghn_init", deadline=None, print_blob=True)
settings.load_profile("ghn_init")
