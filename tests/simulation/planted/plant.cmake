# Writes a copy of a source file with a bug in it.
#
#   cmake -D BUG=<file.bug> -D SOURCE_DIR=<repository> -D OUT=<copy> -P plant.cmake
#
# A .bug file has a sentence, the file's path, and the text that is replaced by another one.
file(READ "${BUG}" bug)
if(NOT bug MATCHES "^[^\n]+\nfile: ([^\n]+)\n--- right\n(.*)\n--- wrong\n(.*)\n---\n$")
  message(FATAL_ERROR "${BUG} is not written as plant.cmake expects it")
endif()
set(path "${CMAKE_MATCH_1}")
set(right "${CMAKE_MATCH_2}")
set(wrong "${CMAKE_MATCH_3}")
file(READ "${SOURCE_DIR}/${path}" source)
string(FIND "${source}" "${right}" first)
string(FIND "${source}" "${right}" last REVERSE)
if(first EQUAL -1 OR NOT first EQUAL last)
  message(FATAL_ERROR "${path} does not have exactly once what ${BUG} replaces:\n${right}")
endif()
string(REPLACE "${right}" "${wrong}" source "${source}")
file(WRITE "${OUT}" "${source}")
