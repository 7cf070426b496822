# mesh_library(NAME LAYER L KIND K [FOLDER dir] [SOURCES ...] [DEPS ...] [EXTERNAL ...])
#
# One library of one layer, held to the fences of docs/ARCHITECTURE.md at configure time:
#   LAYER  base | stoq | nexus | hypermesh
#   KIND   base     the foundation; knows no layer
#          async    the foundation's wrapper of Asio
#          api      public headers of a layer (no code that acts)
#          core     decides: plain, deterministic, no I/O, threads, clocks or Asio
#          shell    acts: drives sockets, files, processes; builds
# Sources default to every *.cpp of the folder that is not a test, a double or listed by another target;
# a folder that holds a core and a shell lists the core's files.
# DEPS are libraries of ours (checked), EXTERNAL are libraries of others (see dependencies.cmake).
set(MESH_LAYERS base stoq nexus hypermesh)

function(mesh_fence name layer kind dep)
  get_target_property(dep_layer ${dep} MESH_LAYER)
  get_target_property(dep_kind ${dep} MESH_KIND)
  if(NOT dep_layer)
    message(FATAL_ERROR "${name}: DEPS names ${dep}, which is not a mesh_library; other people's libraries go to EXTERNAL")
  endif()
  list(FIND MESH_LAYERS ${layer} rank)
  list(FIND MESH_LAYERS ${dep_layer} dep_rank)
  set(why "")
  if(dep_rank GREATER rank)
    set(why "a lower layer must not know a higher one (${layer} < ${dep_layer})")
  elseif(kind STREQUAL "base" AND NOT dep_kind STREQUAL "base")
    set(why "the foundation links the foundation only")
  elseif(kind STREQUAL "api" AND NOT dep_kind MATCHES "^(base|async|api)$")
    set(why "public headers promise; they must not depend on how a promise is kept")
  elseif(kind STREQUAL "core" AND NOT dep_kind MATCHES "^(base|api|core)$")
    set(why "a core decides; it must not link what acts")
  elseif(NOT dep_layer STREQUAL layer AND NOT dep_layer STREQUAL "base" AND NOT dep_kind STREQUAL "api"
         AND NOT (dep_kind STREQUAL "core" AND kind STREQUAL "shell"))
    set(why "a layer uses the interfaces of the layers below, not their implementations")
  elseif(kind STREQUAL "core" AND dep_kind STREQUAL "core" AND NOT dep_layer STREQUAL layer)
    set(why "a core may use lower layers' value types only")
  endif()
  if(why)
    message(FATAL_ERROR "${name} (${layer}, ${kind}) must not link ${dep} (${dep_layer}, ${dep_kind}): ${why}")
  endif()
endfunction()

function(mesh_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "LAYER;KIND" "SOURCES;DEPS;EXTERNAL")
  if(arg_SOURCES)
    add_library(${name} STATIC ${arg_SOURCES})
    set(scope PUBLIC)
  else()
    add_library(${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  set_target_properties(${name} PROPERTIES MESH_LAYER ${arg_LAYER} MESH_KIND ${arg_KIND})
  if(NOT arg_LAYER STREQUAL "base")
    # "x/y.hpp" inside a layer; <layer/x.hpp> across layers.
    target_include_directories(${name} ${scope} ${CMAKE_SOURCE_DIR}/${arg_LAYER}/include)
    if(NOT arg_KIND STREQUAL "api")
      target_include_directories(${name} ${scope} ${CMAKE_SOURCE_DIR}/${arg_LAYER})
    endif()
  else()
    target_include_directories(${name} ${scope} ${CMAKE_SOURCE_DIR}/base/include)
  endif()
  foreach(dep IN LISTS arg_DEPS)
    mesh_fence(${name} ${arg_LAYER} ${arg_KIND} ${dep})
  endforeach()
  target_link_libraries(${name} ${scope} ${arg_DEPS} ${arg_EXTERNAL})
  # For tools/check_layers: which files must be pure.
  foreach(source IN LISTS arg_SOURCES)
    set_property(GLOBAL APPEND PROPERTY MESH_SOURCES "${arg_LAYER} ${arg_KIND} ${CMAKE_CURRENT_SOURCE_DIR}/${source}")
  endforeach()
endfunction()

# mesh_proto(NAME LAYER L SOURCES a.proto ...): messages of a layer, generated at build time, as a library of kind api.
# Sources lie in LAYER/proto/LAYER/v1 and are included as <LAYER/v1/a.pb.h>.
function(mesh_proto name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "LAYER" "SOURCES")
  set(out ${CMAKE_BINARY_DIR}/proto)
  set(root ${CMAKE_SOURCE_DIR}/${arg_LAYER}/proto)
  file(MAKE_DIRECTORY ${out})
  foreach(source IN LISTS arg_SOURCES)
    string(REGEX REPLACE "\\.proto$" "" stem ${arg_LAYER}/v1/${source})
    add_custom_command(OUTPUT ${out}/${stem}.pb.cc ${out}/${stem}.pb.h
      COMMAND protobuf::protoc --proto_path=${root} --cpp_out=${out} ${root}/${stem}.proto
      DEPENDS ${root}/${stem}.proto VERBATIM)
    list(APPEND generated ${out}/${stem}.pb.cc)
  endforeach()
  add_library(${name} STATIC ${generated})
  set_target_properties(${name} PROPERTIES MESH_LAYER ${arg_LAYER} MESH_KIND api)
  target_compile_options(${name} PRIVATE -w)
  target_include_directories(${name} SYSTEM PUBLIC ${out})
  target_link_libraries(${name} PUBLIC protobuf::libprotobuf-lite)
endfunction()

# Writes what mesh_library() declared, and makes the check of includes a test. Call last.
function(mesh_check_layers)
  get_property(sources GLOBAL PROPERTY MESH_SOURCES)
  list(JOIN sources "\n" text)
  file(GENERATE OUTPUT ${CMAKE_BINARY_DIR}/layers.txt CONTENT "${text}\n")
  add_test(NAME check_layers COMMAND ${CMAKE_SOURCE_DIR}/tools/check_layers ${CMAKE_BINARY_DIR}/layers.txt ${CMAKE_SOURCE_DIR})
  set_tests_properties(check_layers PROPERTIES LABELS core)
endfunction()

# mesh_test(NAME SOURCES ... DEPS ... [LABELS ...]): one executable of GoogleTest cases, run by ctest.
# Labels: "core" also runs under AddressSanitizer in CI; "root" needs root and namespaces.
function(mesh_test name)
  if(NOT HYPERMESH_TESTS)
    return()
  endif()
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "TIMEOUT" "SOURCES;DEPS;LABELS;ARGS" )
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_DEPS} GTest::gmock GTest::gtest GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE TEST_SOURCE_DIR="${CMAKE_CURRENT_SOURCE_DIR}" PROJECT_SOURCE_DIR="${CMAKE_SOURCE_DIR}"
    PROJECT_BINARY_DIR="${CMAKE_BINARY_DIR}")
  add_test(NAME ${name} COMMAND ${name} ${arg_ARGS})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${arg_LABELS}" TIMEOUT ${arg_TIMEOUT}
    SKIP_REGULAR_EXPRESSION "\\[  SKIPPED \\]")
  if("core" IN_LIST arg_LABELS)
    if(NOT TARGET core_tests)
      add_custom_target(core_tests)
    endif()
    add_dependencies(core_tests ${name})
  endif()
endfunction()

# mesh_folders(a b c): the subfolders of a layer, in the order of their dependencies.
function(mesh_folders)
  foreach(folder IN LISTS ARGN)
    if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/CMakeLists.txt)
      add_subdirectory(${folder})
    endif()
  endforeach()
endfunction()

# mesh_fuzzer(NAME SOURCES ... DEPS ...): a libFuzzer target of the fuzz preset.
function(mesh_fuzzer name)
  if(NOT HYPERMESH_FUZZ)
    return()
  endif()
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;DEPS")
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_DEPS})
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
  if(NOT TARGET fuzzers)
    add_custom_target(fuzzers)
  endif()
  add_dependencies(fuzzers ${name})
endfunction()
