# Flags of every target. What a release ships is what the tests ran with.
add_compile_options(-Wall -Wextra -Wnon-virtual-dtor -Wimplicit-fallthrough -Werror
  -fstack-protector-strong -fstack-clash-protection -fcf-protection -fno-omit-frame-pointer
  # libstdc++ 12's own stable_sort uses what clang 19 calls deprecated.
  $<$<COMPILE_LANGUAGE:CXX>:-Wno-missing-field-initializers> $<$<COMPILE_LANGUAGE:CXX>:-Wno-deprecated-declarations>)
add_compile_definitions(_GLIBCXX_ASSERTIONS)
if(NOT CMAKE_BUILD_TYPE STREQUAL "Debug" AND NOT HYPERMESH_SANITIZER)
  add_compile_definitions(_FORTIFY_SOURCE=2)
endif()
add_link_options(-fuse-ld=lld -Wl,-z,relro,-z,now,-z,noexecstack)
include(CheckPIESupported)
check_pie_supported(LANGUAGES CXX)

# Equal object files for equal sources wherever the tree lies: ccache hits, reproducible packages.
add_compile_options(-ffile-prefix-map=${CMAKE_SOURCE_DIR}=. -ffile-prefix-map=${CMAKE_BINARY_DIR}=build)

set(HYPERMESH_SANITIZER "" CACHE STRING "address, thread or empty")
if(HYPERMESH_SANITIZER STREQUAL "address")
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all)
  add_link_options(-fsanitize=address,undefined)
elseif(HYPERMESH_SANITIZER STREQUAL "thread")
  add_compile_options(-fsanitize=thread)
  add_link_options(-fsanitize=thread)
endif()
if(HYPERMESH_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
