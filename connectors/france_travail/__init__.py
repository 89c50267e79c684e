"""France Travail (SI Plateforme): the département's orientation decisions, read before they are written."""
