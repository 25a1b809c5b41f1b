#!/bin/sh
# upgrade-guide.sh URL FILE CTL...: goes through what the upgrade guide of the service
# before docscan has people verify after an upgrade, as they did it: with curl and jq.
# FILE is handed in; CTL is docscanctl with its flags. ADMIN and PASSWORD are those of
# an administrator. The last step uses up the log-ins of this address.
set -eu
url=$1 file=$2
shift 2
fail() { echo "FAILED: $*" >&2; exit 1; }
# ask METHOD PATH [curl's flags]: prints the body, then the status in a line of its own.
ask() {
	method=$1 path=$2
	shift 2
	curl -sS -X "$method" -w '\n%{http_code}\n' "$@" "$url$path"
}
# want WHAT STATUS ANSWER [JQ]: the answer has the status, and jq says true of its body.
want() {
	got=$(printf '%s\n' "$3" | tail -n 1)
	[ "$got" = "$2" ] || fail "$1: $got, want $2: $3"
	[ -z "${4:-}" ] || printf '%s\n' "$3" | sed '$d' | jq -e "$4" >/dev/null || fail "$1: the body is not '$4': $3"
	echo "ok: $1"
}
json='Content-Type: application/json'

want "health" 200 "$(ask GET /api/health)" '.status == "healthy" and .database == "connected" and (.service | length > 0) and (.timestamp | length > 0)'
want "heartbeat" 200 "$(ask POST /api/heartbeat)"
want "a protected call without a token" 401 "$(ask GET /api/me)" '.detail == "Not authenticated"'
want "the cache without a token" 401 "$(ask GET /api/cache/stats)" '.detail == "Not authenticated"'
want "the debug route is gone" 404 "$(ask DELETE /api/debug/clear-storage)" '.detail == "Not Found"'

login=$(jq -n --arg u "$ADMIN" --arg p "$PASSWORD" '{username: $u, password: $p}' | ask POST /api/login -H "$json" -d @-)
want "log in" 200 "$login" '.token_type == "bearer" and (.access_token | length > 0)'
printf '%s\n' "$login" | sed '$d' | jq -r '"header = \"Authorization: Bearer " + .access_token + "\""' >"$file.curl"
trap 'rm -f "$file.curl"' EXIT
as="-K $file.curl" # the token in a file: in the arguments every user of the machine could see it

want "who am I" 200 "$(ask GET /api/me $as)" '.username == env.ADMIN and .is_admin and .is_active and has("id") and has("email") and has("full_name") and has("created_at")'
want "people" 200 "$(ask GET /api/admin/users $as)" 'length > 0 and all(.[]; has("total_batches") and has("last_activity"))'
want "figures" 200 "$(ask GET /api/admin/dashboard/stats $as)" '.users and .batches and .files'
want "one cannot shut oneself out" 400 "$(ask PATCH "/api/admin/users/$(ask GET /api/me $as | sed '$d' | jq -r .id)/status?is_active=false" $as)" '.detail == "Cannot change your own status"'
upload=$(ask POST /api/upload $as -F "files=@$file" -F document_types=invoice)
want "hand a file in" 200 "$upload" '.id and .status and .total_files == 1 and (.files | length == 1)'
batch=$(printf '%s\n' "$upload" | sed '$d' | jq -r .id)
for _ in $(seq 600); do
	state=$(ask GET "/api/batches/$batch" $as | sed '$d' | jq -r .status)
	[ "$state" = processing ] || break
	sleep 0.1
done
[ "$state" = completed ] || fail "the batch is $state"
want "its results" 200 "$(ask GET "/api/batches/$batch/results" $as)" 'tostring | contains("extracted_text") and contains("confidence")'

# Ten log-ins a minute: one has been used, and where a box is set up another before.
refused=
for n in $(seq 11); do
	answer=$(ask POST /api/login -H "$json" -d '{"username":"nobody","password":"wrong"}' -D "$file.head")
	status=$(printf '%s\n' "$answer" | tail -n 1)
	case $status in
	401) [ -z "$refused" ] || fail "log-in $n is let through after a refusal" ;;
	429) refused=${refused:-$n} ;;
	*) fail "log-in $n: $answer" ;;
	esac
done
[ -n "$refused" ] || fail "eleven log-ins and no limit"
want "the eleventh log-in" 429 "$answer" '.detail | length > 0'
grep -qi '^retry-after: [1-9]' "$file.head" || fail "the limit does not say when to come back"
rm -f "$file.head"

# The guide's one-liners on the audit log.
"$@" audit export >"$file.audit"
jq -e -s 'map(select(.action == "login" and .status == "success")) | length > 0' "$file.audit" >/dev/null || fail "no log-in in the audit log"
echo "ok: log-ins: $(jq -r 'select(.event_type == "authentication" and .action == "login") | .timestamp' "$file.audit" | wc -l)"
failures=$(jq -r 'select(.action == "login" and .status == "failure") | .ip_address' "$file.audit" | sort | uniq -c)
[ -n "$failures" ] || fail "no failed log-in in the audit log"
echo "ok: failures per address: $failures"
[ "$(grep -c rate_limit_exceeded "$file.audit")" = 1 ] || fail "the limit is not in the audit log, or more than once"
jq -e -s 'map(select(.action == "rate_limit_exceeded")) | length == 1 and all(.[]; .event_type == "security" and .status == "blocked" and .level == "WARNING" and has("actor") and has("target") and has("message"))' \
	"$file.audit" >/dev/null || fail "the entry of the limit: $(grep rate_limit_exceeded "$file.audit")"
rm -f "$file.audit"
echo "ok: audit log"
