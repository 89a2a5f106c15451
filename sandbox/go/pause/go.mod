module docker-registry/sandbox/pause

go 1.26.0
