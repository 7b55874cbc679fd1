# What cmake/requirements.cmake takes and refuses, and that a build keeps the user's flags.
#
#   cmake -D WORK=DIR -P test_requirements.cmake
set(ROOT ${CMAKE_CURRENT_LIST_DIR}/../..)
set(passed 0)
set(failed 0)

function(count good what)
  if(good)
    math(EXPR passed "${passed} + 1")
  else()
    math(EXPR failed "${failed} + 1")
    message(NOTICE "${what}")
  endif()
  set(passed ${passed} PARENT_SCOPE)
  set(failed ${failed} PARENT_SCOPE)
endfunction()

# expect(<sentence, or empty: accepted> <compiler> <version> <pointer bytes> <byte order> [<option of cmake>])
function(expect sentence compiler version bytes order)
  execute_process(
    COMMAND ${CMAKE_COMMAND} -D CMAKE_C_COMPILER_ID=${compiler} -D CMAKE_C_COMPILER_VERSION=${version}
            -D CMAKE_SIZEOF_VOID_P=${bytes} -D CMAKE_C_BYTE_ORDER=${order}
            -D CMAKE_SYSTEM_PROCESSOR=there "${ARGV5}" -P ${ROOT}/cmake/requirements.cmake
    RESULT_VARIABLE status ERROR_VARIABLE said)
  string(REGEX REPLACE "[ \n]+" " " said "${said}")
  set(good FALSE)
  if(sentence STREQUAL "" AND status EQUAL 0)
    set(good TRUE)
  elseif(NOT sentence STREQUAL "" AND NOT status EQUAL 0)
    string(FIND "${said}" "${sentence}" at)
    if(NOT at EQUAL -1)
      set(good TRUE)
    endif()
  endif()
  count(${good} "${compiler} ${version}, ${bytes}, ${order}: status ${status}, ${said}, expected: ${sentence}")
  set(passed ${passed} PARENT_SCOPE)
  set(failed ${failed} PARENT_SCOPE)
endfunction()

set(needs "fastfc needs GCC 11 or clang 13, or a newer one, for their vector extensions, found")
expect("" GNU 11.3.0 8 LITTLE_ENDIAN)
expect("" GNU 15.1.0 8 LITTLE_ENDIAN)
expect("" Clang 13.0.1 8 LITTLE_ENDIAN)
expect("" AppleClang 15.0.0 8 LITTLE_ENDIAN)
expect("${needs} GNU 10.2.1." GNU 10.2.1 8 LITTLE_ENDIAN)
expect("${needs} Clang 12.0.1." Clang 12.0.1 8 LITTLE_ENDIAN)
expect("build it by clang-cl" MSVC 19.40.1 8 LITTLE_ENDIAN)
expect("fastfc needs a 64-bit machine, found one of 32 bits: there, as GNU 12.2.0 compiles."
       GNU 12.2.0 4 LITTLE_ENDIAN)
expect("fastfc needs a little-endian machine, found there, BIG_ENDIAN." GNU 12.2.0 8 BIG_ENDIAN)
set(one "fastfc has kernels of its own for each architecture and is built for one at a time, found")
expect("" AppleClang 15.0.0 8 LITTLE_ENDIAN "-DCMAKE_OSX_ARCHITECTURES=arm64")
expect("" AppleClang 15.0.0 8 LITTLE_ENDIAN "-DCMAKE_C_FLAGS=-arch arm64 -O2")
expect("${one} CMAKE_OSX_ARCHITECTURES=arm64;x86_64" AppleClang 15.0.0 8 LITTLE_ENDIAN
       "-DCMAKE_OSX_ARCHITECTURES=arm64;x86_64")
expect("${one} CMAKE_OSX_ARCHITECTURES= and C flags -arch arm64 -arch x86_64." AppleClang 15.0.0 8 LITTLE_ENDIAN
       "-DCMAKE_C_FLAGS=-arch arm64 -arch x86_64")

# refused(<sentence> <command>...): the command fails and says so
function(refused sentence)
  file(REMOVE_RECURSE ${WORK})
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_QUIET ERROR_VARIABLE said)
  string(REGEX REPLACE "[ \n]+" " " said "${said}")
  string(FIND "${said}" "${sentence}" at)
  set(good FALSE)
  if(NOT status EQUAL 0 AND NOT at EQUAL -1)
    set(good TRUE)
  endif()
  count(${good} "status ${status}, ${said}, expected: ${sentence}")
  set(passed ${passed} PARENT_SCOPE)
  set(failed ${failed} PARENT_SCOPE)
endfunction()

set(configure ${CMAKE_COMMAND} -S ${ROOT} -B ${WORK} -D FASTFC_EXTENSION=OFF)
refused("fastfc needs a C compiler and found none." ${CMAKE_COMMAND} -E env CC=${WORK}/none ${configure})
refused("FASTFC_ISA is mmx, expected an instruction set of" ${configure} -D FASTFC_ISA=mmx)

# the user's own flags are used, and no other optimisation
file(REMOVE_RECURSE ${WORK})
execute_process(
  COMMAND ${CMAKE_COMMAND} -S ${ROOT} -B ${WORK} -D FASTFC_EXTENSION=OFF -D CMAKE_C_FLAGS_RELEASE=-O2
          -D CMAKE_EXPORT_COMPILE_COMMANDS=ON
  RESULT_VARIABLE status OUTPUT_QUIET ERROR_VARIABLE said)
set(commands "")
if(status EQUAL 0)
  file(READ ${WORK}/compile_commands.json commands)
endif()
set(good FALSE)
if(commands MATCHES " -O2 " AND NOT commands MATCHES " -O3 ")
  set(good TRUE)
endif()
count(${good} "CMAKE_C_FLAGS_RELEASE=-O2 was overwritten: ${said}")

message(NOTICE "${passed} passed, ${failed} failed")
if(failed)
  message(FATAL_ERROR "requirements")
endif()
