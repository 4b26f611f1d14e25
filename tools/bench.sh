# shellcheck shell=bash
# `tools/dev bench`: builds what is measured, and measures. Read by tools/dev, whose functions and packages it uses.

command_bench() {
  local what=${1:-short} program
  need "${packages_compile[@]}" "${packages_unit[@]}" "${packages_redis[@]}" "${packages_tls[@]}"
  [ $# = 0 ] || shift
  case $what in
    micro)
      step 'build (release, with benchmarks)' build_bench
      while read -r program; do
        "build-bench/$program" --benchmark_min_time=0.05
      done < <(python3 tools/meson_results.py --executables build-bench bench/micro) ;;
    compare)
      # shellcheck disable=SC2046  # the words are wanted
      need "${packages_compare[@]}" $(packages_node)
      step 'build (release)' build_bench ringcast ringcast-load
      bench/compare.py --build build-bench "$@" ;;
    check)
      step 'build (release), the generator' build_bench ringcast-load
      bench/regression.py "$@" ;;
    *)
      step 'build (release, with the bare loop)' build_bench ringcast ringcast-load bench/floor/floor
      bench/run.py "$what" "$@" --build build-bench ;;
  esac
}

build_bench() {  # TARGETS…: all of them when none is named
  configure build-bench --buildtype=release -Doptimization=3 -Db_lto=true -Dtests=true &&
    compile build-bench "$@"
}
