# attack: a shell starts programs in the background without end
# stopped-by: rlimits watch
# off: rlimits watch
# run: --max-processes 20
# expect: outcome=process-limit|exited|timed-out
n=0
while [ "$n" -lt 60 ]; do
    sleep 20 &
    n=$((n + 1))
done 2>/dev/null
sleep 2
running=$(jobs -r | wc -l)
kill $(jobs -p) 2>/dev/null
if [ "$running" -ge 55 ]; then
    echo "ESCAPED $running programs at a time under a limit of 20"
    exit 1
fi
echo "CONTAINED at $running programs"
