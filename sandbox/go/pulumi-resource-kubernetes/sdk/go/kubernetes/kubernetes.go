// Package kubernetes has what the plugin names of the SDK's generated types.
package kubernetes

import "reflect"

// UntypedArgs is a resource's inputs as plain data.
type UntypedArgs map[string]any

// ElementType makes UntypedArgs an input.
func (UntypedArgs) ElementType() reflect.Type { return reflect.TypeOf(map[string]any{}) }
