// Package node stands in for what a test cluster has no machine for: the scheduler, the kubelet and
// virt-handler of one or more nodes.
//
// It does to the API what those do, and nothing more: it binds Pods whose claims and node selectors allow
// it, reports their containers as running, moves a scheduled VirtualMachineInstance to Running and a
// deleted one to Succeeded, and answers freeze and thaw. Nothing is polled: every step follows from a
// watch, so that hundreds of machines start in seconds.
package node
