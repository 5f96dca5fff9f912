"""Networks: generators and discriminators by name (:mod:`.build`), one architecture a file, and their layers."""
