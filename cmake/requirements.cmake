# What fastfc needs of compiler and machine; anything else is refused in a sentence.  Asks variables
# that CMake has set, and WEB for WebAssembly, which has 32 bits and whose toolchain tells no byte
# order, so that tests/csrc/test_requirements.cmake can set others.
#
# The oldest compilers are those with which all C tests have passed.
set(OLDEST_GNU 11)
set(OLDEST_Clang 13)
set(OLDEST_AppleClang 13.1) # made of clang 13

set(FOUND "${CMAKE_C_COMPILER_ID} ${CMAKE_C_COMPILER_VERSION}")
if(CMAKE_C_COMPILER_ID STREQUAL "MSVC")
  message(FATAL_ERROR
    "fastfc needs vector extensions that MSVC does not have. Under Windows, build it by clang-cl, which comes with "
    "Visual Studio (the component \"C++ Clang Compiler for Windows\"): set the environment variable CC to clang-cl. "
    "Found ${FOUND}.")
endif()
if(NOT DEFINED OLDEST_${CMAKE_C_COMPILER_ID}
   OR CMAKE_C_COMPILER_VERSION VERSION_LESS OLDEST_${CMAKE_C_COMPILER_ID})
  message(FATAL_ERROR
    "fastfc needs GCC ${OLDEST_GNU} or clang ${OLDEST_Clang}, or a newer one, for their vector extensions, found "
    "${FOUND}. Name another compiler in the environment variable CC.")
endif()
if(NOT CMAKE_SIZEOF_VOID_P EQUAL 8 AND NOT WEB)
  math(EXPR BITS "8 * ${CMAKE_SIZEOF_VOID_P}")
  message(FATAL_ERROR
    "fastfc needs a 64-bit machine, found one of ${BITS} bits: ${CMAKE_SYSTEM_PROCESSOR}, as ${FOUND} compiles.")
endif()
if(NOT CMAKE_C_BYTE_ORDER STREQUAL "LITTLE_ENDIAN" AND NOT WEB)
  message(FATAL_ERROR
    "fastfc needs a little-endian machine, found ${CMAKE_SYSTEM_PROCESSOR}, ${CMAKE_C_BYTE_ORDER}.")
endif()
list(LENGTH CMAKE_OSX_ARCHITECTURES ARCHITECTURES)
if(ARCHITECTURES GREATER 1 OR CMAKE_C_FLAGS MATCHES "-arch .*-arch ")
  message(FATAL_ERROR
    "fastfc has kernels of its own for each architecture and is built for one at a time, found "
    "CMAKE_OSX_ARCHITECTURES=${CMAKE_OSX_ARCHITECTURES} and C flags ${CMAKE_C_FLAGS}. Build one wheel for each.")
endif()
