// Command pulumi-resource-kubernetes is the official kubernetes plugin, served from its own Go module.
package main

import "github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/provider"

// The release that the module's commit follows.
const version = "4.25.0"

func main() {
	// The plugin's own main embeds a generated schema and a mapping, which its module lacks. They serve code
	// generation and converters, and are not asked for when a program runs.
	provider.Serve("kubernetes", version, []byte(`{"name":"kubernetes","version":"`+version+`"}`), []byte(`{}`))
}
