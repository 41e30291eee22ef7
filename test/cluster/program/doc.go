// Package program runs the program of a Pod as a process on this machine, where a real node would run a container.
//
// The process sees a root folder of its own, in which the Pod's volumes are mounted where the Pod wants them: Secrets,
// ConfigMaps, tokens of its ServiceAccount, empty folders and the volumes of claims. It gets the Pod's arguments and
// environment, its termination message and exit code become the Pod's, and it reaches the API server as every Pod does.
// What it does not have is a network of its own: it listens on the loopback interface, and finds Services through a Proxy.
//
// The programs must be linked statically, as there are no libraries in that folder.
package program
