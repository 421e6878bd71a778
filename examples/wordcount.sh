# Prints the ten most frequent words on standard input.
set -euo pipefail

tr -cs '[:alpha:]' '\n' | tr '[:upper:]' '[:lower:]' | sed '/^$/d' |
    sort | uniq -c | sort -k1,1nr -k2 | awk 'NR <= 10 { printf "%6d  %s\n", $1, $2 }'
