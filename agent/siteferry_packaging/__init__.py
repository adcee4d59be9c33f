"""What makes the .deb of the agent, its manual pages and its completions. No part of the wheel."""
