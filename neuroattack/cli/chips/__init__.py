"""Commands about hardware profiles and the chips that they describe."""
