// hypermesh-unpack: reads one hostile archive in a process that can do nothing else. Started by
// LayerStore.

#include "runtime/images/unpack_process.hpp"

int main() {
  return hypermesh::unpacker_main();
}
