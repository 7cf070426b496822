# The target `ngtcp2`: libngtcp2 and its binding to GnuTLS. Compiled here from Debian's source of the installed package, with
# link-time optimisation, when `./dev setup` has fetched it; else Debian's shared libraries (docs/design/0008).
pkg_check_modules(ngtcp2_shared REQUIRED IMPORTED_TARGET libngtcp2 libngtcp2_crypto_gnutls)
execute_process(COMMAND dpkg-query -W -f "\${source:Package}-\${source:Version}" libngtcp2-dev
  OUTPUT_VARIABLE ngtcp2_source ERROR_QUIET)
set(ngtcp2_source /usr/src/hypermesh/${ngtcp2_source})
if(NOT EXISTS ${ngtcp2_source}/lib/ngtcp2_conn.c)
  message(STATUS "ngtcp2: Debian's shared library; ./dev setup as root fetches the source of a faster one")
  add_library(ngtcp2 INTERFACE)
  target_link_libraries(ngtcp2 INTERFACE PkgConfig::ngtcp2_shared)
  return()
endif()
message(STATUS "ngtcp2: ${ngtcp2_source}")
file(GLOB sources CONFIGURE_DEPENDS ${ngtcp2_source}/lib/*.c)
add_library(ngtcp2 STATIC ${sources} ${ngtcp2_source}/crypto/shared.c ${ngtcp2_source}/crypto/gnutls/gnutls.c)
# The public headers are those of the installed package: the same version.
target_include_directories(ngtcp2 PRIVATE ${ngtcp2_source}/lib ${ngtcp2_source}/crypto)
# What its own configuration finds on Linux.
target_compile_definitions(ngtcp2 PRIVATE BUILDING_NGTCP2 HAVE_ARPA_INET_H HAVE_NETINET_IN_H HAVE_STDDEF_H HAVE_STDINT_H
  HAVE_STDLIB_H HAVE_STRING_H HAVE_UNISTD_H HAVE_ENDIAN_H HAVE_BE64TOH PUBLIC NGTCP2_STATICLIB)
target_compile_options(ngtcp2 PRIVATE -w)
target_link_libraries(ngtcp2 PUBLIC PkgConfig::gnutls)
option(HYPERMESH_NGTCP2_TRAIN "Count what of ngtcp2 runs how often (tools/profile_ngtcp2)" OFF)
if(HYPERMESH_NGTCP2_TRAIN)
  # Counts are kept in the file while the program runs: benchmarks end their other process by a signal.
  target_compile_options(ngtcp2 PRIVATE -O2 -fprofile-instr-generate "SHELL:-mllvm -runtime-counter-relocation")
  target_link_options(ngtcp2 INTERFACE -fprofile-instr-generate)
elseif(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
  # What runs how often: tools/profile_ngtcp2 wrote it down. A function that has changed since is compiled without.
  set(profile ${CMAKE_BINARY_DIR}/ngtcp2.profdata)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/ngtcp2.proftext)
  execute_process(COMMAND llvm-profdata-19 merge -o ${profile} ${CMAKE_CURRENT_LIST_DIR}/ngtcp2.proftext
    COMMAND_ERROR_IS_FATAL ANY)
  target_compile_options(ngtcp2 PRIVATE -O3 -flto=thin -fprofile-instr-use=${profile})
  target_link_options(ngtcp2 INTERFACE LINKER:--thinlto-cache-dir=${CMAKE_BINARY_DIR}/lto)
endif()
