// Package shim reaches the provider, which its module keeps internal.
package shim

import (
	"github.com/hashicorp/terraform-plugin-framework/provider"
	tls "github.com/hashicorp/terraform-provider-tls/internal/provider"
)

// New is the provider as its own program serves it.
func New() provider.Provider { return tls.New() }
