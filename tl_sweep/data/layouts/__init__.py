"""How people lay out folders of images: what the names say, before any picture is opened."""
