"""Pictures that no generator made: what ordinary software draws, and the graphics, paintings and photographs of packages."""
