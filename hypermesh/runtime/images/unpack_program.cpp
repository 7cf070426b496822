// hypermesh-unpack: reads one hostile archive in a process that can do nothing else. Started by
// LayerStore.

#include <unistd.h>

#include "runtime/images/unpack_process.hpp"

// Ends at once: there is nothing to tidy up, and nowhere left to do it (no /proc, no other
// process).
int main() {
  _exit(hypermesh::unpacker_main());
}
