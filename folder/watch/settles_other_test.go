//go:build !linux

package watch

const nativeSettles = false
