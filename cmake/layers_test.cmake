# Run as a script: shows that layers.cmake refuses what the design forbids and takes what it allows.
#   cmake -DEDGELOOP_SOURCE=<root> -P cmake/layers_test.cmake
function(expect_configure name should_pass from_layer to_layer)
  set(dir ${EDGELOOP_SOURCE}/build/layers-test/${name})
  file(REMOVE_RECURSE ${dir})
  file(WRITE ${dir}/CMakeLists.txt "
cmake_minimum_required(VERSION 3.25)
project(layers_test LANGUAGES CXX)
include(${EDGELOOP_SOURCE}/cmake/layers.cmake)
edgeloop_module(NAME to LAYER ${to_layer})
edgeloop_module(NAME from LAYER ${from_layer} DEPS to)
")
  execute_process(COMMAND ${CMAKE_COMMAND} -S ${dir} -B ${dir}/build
                  RESULT_VARIABLE result OUTPUT_VARIABLE out ERROR_VARIABLE err)
  if(should_pass AND NOT result EQUAL 0)
    message(FATAL_ERROR "${name}: an allowed edge was refused:\n${err}")
  elseif(NOT should_pass AND (result EQUAL 0 OR NOT err MATCHES "forbidden edge"))
    message(FATAL_ERROR "${name}: a forbidden edge was taken")
  endif()
endfunction()

expect_configure(down TRUE things contracts)
expect_configure(same TRUE platform platform)
expect_configure(up FALSE core runtime)
expect_configure(sibling FALSE things platform)
expect_configure(sibling-back FALSE platform inference)
