# The layers of design rule 1 and 2, enforced when the build is configured.
#
#   edgeloop_module(NAME <name> LAYER <layer>
#                   [SOURCES ...] [DEPS <module>...] [EXTERNAL <imported target>...]
#                   [TESTS <x_test.cc>...] [TEST_DEPS <module>...] [FUZZ <x_fuzz.cc>...])
#   edgeloop_binary(NAME <edgeloop-x> LAYER <layer> SOURCES ... [DEPS ...] [EXTERNAL ...])
#
# NAME is the folder below the root with '/' written '_': core/dsp is core_dsp. A module may depend on
# its own layer and on the layers below it. things, inference and platform share a rank but never
# depend on one another: they meet in contracts and core.

set(EDGELOOP_RANK_core 0)
set(EDGELOOP_RANK_contracts 1)
set(EDGELOOP_RANK_runtime 2)
set(EDGELOOP_RANK_things 3)
set(EDGELOOP_RANK_inference 3)
set(EDGELOOP_RANK_platform 3)
set(EDGELOOP_RANK_cli 4)
set(EDGELOOP_RANK_tests 5)

function(edgeloop_check_edges name layer)
  if(NOT DEFINED EDGELOOP_RANK_${layer})
    message(FATAL_ERROR "${name}: unknown layer '${layer}'; see cmake/layers.cmake")
  endif()
  foreach(dep IN LISTS ARGN)
    if(NOT TARGET ${dep})
      message(FATAL_ERROR
        "${name} depends on ${dep}, which is not declared (yet): add its folder before this one in CMakeLists.txt")
    endif()
    get_target_property(dep_layer ${dep} EDGELOOP_LAYER)
    if(NOT dep_layer)
      message(FATAL_ERROR "${name}: ${dep} is not an Edgeloop module; list imported targets under EXTERNAL")
    endif()
    if(dep_layer STREQUAL layer)
      continue()
    endif()
    if(NOT EDGELOOP_RANK_${dep_layer} LESS EDGELOOP_RANK_${layer})
      message(FATAL_ERROR
        "forbidden edge: ${name} (${layer}) -> ${dep} (${dep_layer}). "
        "A layer depends downward only: core < contracts < runtime < things|inference|platform < cli")
    endif()
  endforeach()
endfunction()

function(edgeloop_compile_settings target layer)
  target_include_directories(${target} PUBLIC ${CMAKE_SOURCE_DIR})
  target_compile_features(${target} PUBLIC cxx_std_23)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wshadow -Wnon-virtual-dtor
                         -Wno-missing-field-initializers)
  if(layer STREQUAL "core")
    # What runs on a microcontroller. -ffp-contract=off: the same bits on every host and target.
    target_compile_options(${target} PRIVATE -fno-exceptions -fno-rtti -fno-threadsafe-statics
                           -ffp-contract=off)
  endif()
  set_target_properties(${target} PROPERTIES EDGELOOP_LAYER ${layer})
endfunction()

function(edgeloop_module)
  cmake_parse_arguments(M "" "NAME;LAYER" "SOURCES;DEPS;EXTERNAL;TESTS;TEST_DEPS;FUZZ" ${ARGN})
  edgeloop_check_edges(${M_NAME} ${M_LAYER} ${M_DEPS})
  if(M_SOURCES)
    add_library(${M_NAME} STATIC ${M_SOURCES})
    target_link_libraries(${M_NAME} PUBLIC ${M_DEPS} ${M_EXTERNAL})
    edgeloop_compile_settings(${M_NAME} ${M_LAYER})
  else()
    add_library(${M_NAME} INTERFACE)
    target_include_directories(${M_NAME} INTERFACE ${CMAKE_SOURCE_DIR})
    target_compile_features(${M_NAME} INTERFACE cxx_std_23)
    target_link_libraries(${M_NAME} INTERFACE ${M_DEPS} ${M_EXTERNAL})
    set_target_properties(${M_NAME} PROPERTIES EDGELOOP_LAYER ${M_LAYER})
  endif()
  if(M_TESTS AND EDGELOOP_TESTS)
    edgeloop_check_edges(${M_NAME}_test ${M_LAYER} ${M_TEST_DEPS})
    edgeloop_test(NAME ${M_NAME}_test SOURCES ${M_TESTS} DEPS ${M_NAME} ${M_TEST_DEPS} LABEL unit)
  endif()
  if(EDGELOOP_FUZZ)
    foreach(source IN LISTS M_FUZZ)
      get_filename_component(fuzzer ${source} NAME_WE)
      add_executable(${fuzzer} ${source})
      target_link_libraries(${fuzzer} PRIVATE ${M_NAME})
      target_link_options(${fuzzer} PRIVATE -fsanitize=fuzzer)
      set_property(GLOBAL APPEND PROPERTY EDGELOOP_FUZZERS ${fuzzer})
    endforeach()
  endif()
endfunction()

# One GoogleTest executable, each of its cases a ctest case. LABEL: unit, e2e, conformance or fault.
function(edgeloop_test)
  cmake_parse_arguments(T "" "NAME;LABEL;TIMEOUT" "SOURCES;DEPS" ${ARGN})
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 120)
  endif()
  add_executable(${T_NAME} ${T_SOURCES})
  target_link_libraries(${T_NAME} PRIVATE ${T_DEPS} GTest::gmock GTest::gtest_main)
  target_include_directories(${T_NAME} PRIVATE ${CMAKE_SOURCE_DIR})
  target_compile_definitions(${T_NAME} PRIVATE EDGELOOP_SOURCE_DIR="${CMAKE_SOURCE_DIR}"
                             EDGELOOP_BIN_DIR="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}")
  gtest_discover_tests(${T_NAME} DISCOVERY_TIMEOUT 60 DISCOVERY_MODE PRE_TEST PROPERTIES LABELS ${T_LABEL} TIMEOUT ${T_TIMEOUT})
endfunction()

function(edgeloop_binary)
  cmake_parse_arguments(B "" "NAME;LAYER" "SOURCES;DEPS;EXTERNAL" ${ARGN})
  edgeloop_check_edges(${B_NAME} ${B_LAYER} ${B_DEPS})
  add_executable(${B_NAME} ${B_SOURCES})
  target_link_libraries(${B_NAME} PRIVATE ${B_DEPS} ${B_EXTERNAL})
  edgeloop_compile_settings(${B_NAME} ${B_LAYER})
  set_property(GLOBAL APPEND PROPERTY EDGELOOP_BINARIES ${B_NAME})
endfunction()
