import { sentinelName } from '../../system/sentinel.ts';
import { shellQuote } from '../../system/shell-quote.ts';

/** One standby's archive directory, as this run uses it. */
export interface DeliveryPlace {
  readonly archivedir: string;
  readonly systemIdentifier: string;
  /** Directory of this primary's lane below archivedir: `.incoming/HOST.HASH`. Plain characters only. */
  readonly lane: string;
  /**
   * The directory of this run, below the lane's. A receiver that an earlier run left behind may still write, but only
   * to its own directory, never between our check of a file and its link.
   */
  readonly run: string;
  /** `compare`: nothing new is stored; a file counts only if it exists already. */
  readonly mode: 'store' | 'compare';
}

export interface CommitFile {
  readonly name: string;
  readonly size: number;
}

/** Below archivedir: the only place into which rsync writes. */
export const incoming = '.incoming';

/** The greeting says this if single segments can be taken there without rsync (take.ts). */
export const takesLine = 'takes segments';
/** Without these programs they cannot. */
const canTake = 'command -v sha256sum >/dev/null 2>&1 && command -v head >/dev/null 2>&1';

/** The greeting says this if frames can be unpacked there (unpack.ts). */
export const unpacksLine = 'unpacks zstd';
const canUnpack = `${canTake} && command -v zstd >/dev/null 2>&1 && command -v od >/dev/null 2>&1`;

export function nameOfLane({ lane }: DeliveryPlace): string {
  return lane.slice(`${incoming}/`.length);
}

export function inboxOf(place: DeliveryPlace): string {
  return `${place.lane}/${place.run}`;
}

/**
 * Refuses the script's directory if other users can write to it, or if no hard link can be made there from `probe` to
 * `name`, as delivery needs. The files' group counts as others only if we are not in it.
 */
export function refuseUnfitPlace(probe: string, name: string): string {
  return `
one_line() { printf '%s' "$*" | tr '\\n' ' '; }
mode=$(ls -ldn .)
set -- $mode
case $1 in
  ????????w*) printf 'open %s\\n' "$1"; exit 0 ;;
  ?????w*) case " $(id -G) " in *" $4 "*) ;; *) printf 'open %s\\n' "$1"; exit 0 ;; esac ;;
esac
err=$( { : > "${probe}"; } 2>&1 ) || { printf 'unusable %s\\n' "$(one_line "$err")"; exit 0; }
err=$(ln "${probe}" ${name} 2>&1) || {
  rm -f "${probe}"
  # It has them where the reason is another.
  case $err in
    *'o space left'* | *uota* | *'ead-only'* | *'ermission denied'*) printf 'unusable %s\\n' "$(one_line "$err")" ;;
    *) printf 'no-links %s\\n' "$(one_line "$err")" ;;
  esac
  exit 0
}
rm -f "${probe}" ${name}
`;
}

/** POSIX sh, for dash, bash and busybox alike. */
const prologue = (place: DeliveryPlace): string => `
LC_ALL=C; export LC_ALL; umask 077
one_line() { printf '%s' "$*" | tr '\\n' ' '; }
[ -d ${shellQuote(place.archivedir)} ] || { echo no-directory; exit 0; }
err=$(cd ${shellQuote(place.archivedir)} 2>&1) || { printf 'unusable %s\\n' "$(one_line "$err")"; exit 0; }
cd ${shellQuote(place.archivedir)} || exit 0
inbox=${inboxOf(place)}
read_sentinel() {
  id= promoted= left= key= value=
  [ -f ${sentinelName} ] || return 1
  while read -r key value || [ -n "$key" ]; do
    case $key in
      system_identifier:) id=$value ;;
      promoted_at_timeline:) promoted=$value ;;
      left:) left="$left$value|" ;;
    esac
  done < ${sentinelName}
}
read_sentinel || { echo no-sentinel; exit 0; }
[ "$id" = ${place.systemIdentifier} ] || { printf 'foreign %s\\n' "$id"; exit 0; }
[ -z "$promoted" ] || { printf 'promoted %s\\n' "$promoted"; exit 0; }
if [ -f .resume ]; then
  request=
  read -r request < .resume || :
  printf 'resume %s\\n' "$request"
fi
`;

/**
 * The first script on a connection. It checks whether this is the right directory, and whose. Then it makes a
 * directory for this run, and removes what earlier runs of this lane left there, except files of the coming batch:
 * rsync completes those instead of sending them again. At the end it hands over the sentinel and, of each timeline that
 * was left, the newest segment here.
 */
export function helloScript(place: DeliveryPlace, names: readonly string[]): string {
  return `${prologue(place)}
err=$(mkdir -p "$inbox" 2>&1) || { printf 'unusable %s\\n' "$(one_line "$err")"; exit 0; }
for old in ${place.lane}/*; do
  [ "$old" = "$inbox" ] && continue
  for name in ${names.join(' ')}; do
    for part in "$name" "$name.zst"; do
      [ -f "$old/$part" ] && mv -f "$old/$part" "$inbox/$part"
    done
  done
  rm -rf "$old"
done
${refuseUnfitPlace('$inbox/.probe', `.probe.${place.run}`)}
while IFS= read -r line || [ -n "$line" ]; do printf 'sentinel %s\\n' "$line"; done < ${sentinelName}
while [ -n "$left" ]; do
  timeline=\${left%% *} left=\${left#*|}
  case $timeline in '' | *[!0-9]*) continue ;; esac
  newest=
  for newest in $(printf '%08X' "$timeline")????????????????; do :; done
  [ ! -f "$newest" ] || printf 'newest %s\\n' "$newest"
done
printf 'path %s\\n' "$(pwd -P)"
${canTake} && echo '${takesLine}'
${canUnpack} && echo '${unpacksLine}'
echo ready
`;
}

/**
 * Handles the whole batch with one process for each task in the usual case: all files exist, and no name is taken.
 * Any other case is left to the commands for single files, which find the reason.
 */
function commitAtOnce(files: readonly CommitFile[]): string {
  const inbox = files.map(({ name }) => `"$inbox/${name}"`).join(' ');
  const sizes = files.map(({ name, size }) => `${size} $inbox/${name}`).join(' ');
  const total = files.reduce((sum, { size }) => sum + size, 0);
  const isNew = files.map(({ name }) => `[ ! -e ${name} ]`).join(' && ');
  return `
at_once() {
  # Its columns are as wide as they need to be: as words, they have one blank between them.
  set -- $(wc -c ${inbox} 2>/dev/null)
  [ "$*" = "${sizes}${files.length > 1 ? ` ${total} total` : ''}" ] || return 1
  ${isNew} || return 1
  # Before the links, some of which exist even if ln fails.
  stored="${files.map(({ name }) => name).join(' ')}"
  ln ${inbox} . 2>/dev/null || return 1
  finished="${inbox.replaceAll('"', '')}"
${files.map(({ name }) => `  add "stored ${name}"`).join('\n')}
}`;
}

const store = `
  err=
  if [ ! -d "$1" ]; then
    stored="$stored $1"
    err=$(ln "$file" "$1" 2>&1) && { add "stored $1"; return 0; }
  fi
  [ -f "$1" ] || { add "failed $1 $(one_line "cannot be given its name: $err")"; return 1; }`;

const compare = `
  [ -f "$1" ] || { add "absent $1"; return 1; }`;

/**
 * Moves those files aside that this script has given their names although a mark that came meanwhile forbids them. Only
 * these: another sender may have had any other file confirmed, and one that lies aside is put back if the mark is taken
 * back. A name is ours if it is the same file as in the inbox.
 */
const moveForbidden = (place: DeliveryPlace): string => `
is_ours() {
  set -- $(ls -di "$inbox/$1" "$1" 2>/dev/null)
  [ $# -eq 4 ] && [ "$1" = "$3" ]
}
# NAME TIMELINE LSN: as reachesPastFork
is_past() {
  case $1 in $(printf '%08X' "$2")????????????????) ;; *) return 1 ;; esac
  rest=\${1#????????}
  high=$((0x\${3%/*})) low=$((0x\${3#*/}))
  # The size of ours in the inbox: mark-left may move the other name away, and dash ends at an arithmetic error.
  log=$((0x\${rest%????????})) end=$(((0x\${rest#????????} + 1) * $(wc -c < "$inbox/$1")))
  [ "$log" -gt "$high" ] || { [ "$log" -eq "$high" ] && [ "$end" -gt "$low" ]; }
}
move_forbidden() {
  while [ -n "$left" ]; do
    mark=\${left%%|*} left=\${left#*|}
    case "|$known" in *"|$mark|"*) continue ;; esac
    timeline=\${mark%% *} lsn=\${mark#* }
    lsn=\${lsn%% *}
    case $timeline in '' | *[!0-9]*) continue ;; esac
    case $lsn in */*/* | /* | */ | *[!0-9A-Fa-f/]*) continue ;; */*) ;; *) continue ;; esac
    aside=.left-$timeline-$(date -u +%Y%m%dT%H%M%S)-${place.run}
    for name in $stored; do
      is_ours "$name" && is_past "$name" "$timeline" "$lsn" || continue
      mkdir -p "$aside" && mv -f "$name" "$aside/$name" && sync "$aside"
    done
  done
  sync .
}
`;

/**
 * Gives the files of a batch their final names, oldest first, up to the first one that cannot have it. No line is
 * printed before the directory is flushed: a line is the only proof of delivery.
 *
 * The sender has compared the files with the marks that it knows, and nothing is stored if the sentinel has others. A
 * mark may also come between that look and the links: the script looks again, and moves aside what it has stored against
 * the mark. A mark that comes later still finds the files under their names, and `mark-left` moves them aside.
 *
 * @param marks the `left:` lines of the sentinel as the greeting showed them
 * @param unpack what brings the files into the inbox, where they are not there yet
 */
export function commitScript(
  place: DeliveryPlace,
  files: readonly CommitFile[],
  marks: readonly string[],
  unpack = 'packed=',
): string {
  const inboxNames = files.map(({ name }) => `"$inbox/${name}"`).join(' ');
  const commits = files.map(({ name, size }) => `commit ${name} ${size}`);
  const isToStore = place.mode === 'store';
  const known = marks.map((mark) => `${mark}|`).join('');
  return `${prologue(place)}
known=${shellQuote(known)}
[ "$left" = "$known" ] || { echo marks-changed; exit 0; }
${unpack}
answers= finished= stored=
add() { answers="$answers$*
"; }
digest() {
  sum=$(sha256sum < "$1" 2>/dev/null) && { echo "sha256:\${sum%% *}"; return; }
  sum=$(cksum < "$1" 2>&1)
  printf 'cksum:%s\\n' "$(one_line "$sum" | tr ' \\t' '::')"
}
flushed= unflushed=
if err=$(sync ${inboxNames} 2>&1); then
  flushed=yes
else
  # The kernel reports a failure only once: another flush of the same file would succeed. Only of a missing file it is none.
  unflushed=$(printf '%s\\n' "$err" | sed '/No such file/d')
fi
commit() {
  file=$inbox/$1
  [ -f "$file" ] || { add "failed $1 it did not arrive"; return 1; }
  size=$(($(wc -c < "$file")))
  [ "$size" -eq "$2" ] || { add "short $1 $size"; return 1; }
  if [ -z "$flushed" ]; then
    err=$unflushed
    [ -z "$err" ] && err=$(sync "$file" 2>&1) || { add "failed $1 $(one_line "cannot be flushed: $err")"; return 1; }
  fi
  finished="$finished $file"
${isToStore ? store : compare}
  err=$(cmp -s "$file" "$1" 2>&1)
  case $? in
    0) ;;
    1) add "conflict $1 $(digest "$1") $(digest "$file")"; return 1 ;;
    *) add "failed $1 $(one_line "cannot be compared: $err")"; return 1 ;;
  esac
  err=$(sync "$1" 2>&1) || { add "failed $1 $(one_line "cannot be flushed: $err")"; return 1; }
  add "same $1"
}
${isToStore ? commitAtOnce(files) : 'at_once() { return 1; }'}
[ -n "$flushed" ] && at_once || {
${commits.join(' &&\n')}
}
${isToStore ? moveForbidden(place) : 'move_forbidden() { :; }'}
read_sentinel && [ -z "$promoted" ] && [ "$left" = "$known" ] || {
  move_forbidden
  echo marks-changed
  exit 0
}
if err=$(sync . 2>&1); then
  printf '%s' "$answers"
else
  printf 'unflushed %s\\n' "$(one_line "$err")"
fi
rm -f $finished $packed
`;
}
