"""The ports on boto3 and obstore: the only place of the agent that knows them."""
