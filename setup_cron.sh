#!/usr/bin/env bash
# Install the pipeline's cron entry, from any directory and as often as you like.
#
#   ./setup_cron.sh            install the entry of cronjob.txt (replaces an older one)
#   ./setup_cron.sh --status   show whether it is installed
#   ./setup_cron.sh --remove   take it out again
#
# The interpreter is .venv/bin/python beside this script (make run builds it), or $PYTHON.
# Other entries of your crontab stay as they are.
set -euo pipefail

folder=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
python=${PYTHON:-$folder/.venv/bin/python}
# One marked line for each installation folder; the mark is how it is found again.
# (A bare % would end the command for cron, even in a comment.)
mark="# client-attrition-risk: ${folder//%/"\\%"}"

fail() {
    printf 'setup_cron.sh: %s\n' "$1" >&2
    exit "${2:-1}"
}

usage() {
    sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
}

# The user's crontab; empty when there is none. Any other failure stops us: an empty answer
# would be written back over entries that are there.
read_crontab() {
    local output
    if output=$(LC_ALL=C crontab -l 2>&1); then
        printf '%s\n' "$output"
    elif [[ $output != *"no crontab for"* ]]; then
        fail "crontab -l failed: $output"
    fi
}

# Lines that end in our mark: "ours" prints them, "theirs" all others.
select_lines() {
    MARK=$mark awk -v wanted="$1" '
        { ours = substr($0, length($0) - length(ENVIRON["MARK"]) + 1) == ENVIRON["MARK"] }
        (wanted == "ours") == ours' <<<"$2"
}

# In single quotes for the shell that cron starts, with cron's own special character escaped.
quoted() {
    local text=${1//"'"/"'\\''"}
    printf "'%s'" "${text//%/"\\%"}"
}

# The folder's name is never looked through for a mark: it may be called anything.
entry() {
    local line before between after
    line=$(tail -n 1 "$folder/cronjob.txt")
    before=${line%%@FOLDER@*} after=${line#*@FOLDER@}
    between=${after%%@PYTHON@*} after=${after#*@PYTHON@}
    printf '%s%s%s%s%s %s\n' \
        "$before" "$(quoted "$folder")" "$between" "$(quoted "$python")" "$after" "$mark"
}

install_entry() {
    [[ $folder != *$'\n'* ]] || fail "a folder with a line break in its name cannot stand in a crontab"
    [[ -x $python ]] || fail "no interpreter at $python; build it with: make -C $(quoted "$folder") install"
    local current rest
    current=$(read_crontab)
    rest=$(select_lines theirs "$current")
    { [[ -z $rest ]] || printf '%s\n' "$rest"; entry; } | crontab -
    printf 'installed: one run every three minutes, logged in %s\n' "$folder/cron.log"
}

remove_entry() {
    local current
    current=$(read_crontab)
    if [[ -z $(select_lines ours "$current") ]]; then
        printf 'not installed; nothing to remove\n'
        return
    fi
    select_lines theirs "$current" | crontab -
    printf 'removed\n'
}

show_status() {
    local current
    current=$(read_crontab)
    if [[ -n $(select_lines ours "$current") ]]; then
        printf 'installed:\n%s\n' "$(select_lines ours "$current")"
    else
        printf 'not installed; install it with: %s\n' "$folder/setup_cron.sh"
    fi
}

if [[ ${1:-} == --help || ${1:-} == -h ]]; then
    usage
    exit 0
fi
command -v crontab >/dev/null || fail "crontab is not installed; on Debian: apt-get install cron"
case "${1:-}" in
"") install_entry ;;
--remove) remove_entry ;;
--status) show_status ;;
*) fail "unknown option '$1'; did you mean --status, --remove or, to install, none?" 2 ;;
esac
