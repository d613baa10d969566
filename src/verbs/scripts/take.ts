import { sentinelName } from '../../system/sentinel.ts';
import { shellQuote } from '../../system/shell-quote.ts';
import { type DeliveryPlace, inboxOf } from './delivery.ts';

/** The number of bytes at the beginning of a segment that are sent in this way; all behind them must be zeros. */
export const mostTakenBytes = 256 * 1024;
/** Those zeros are written at the other end: of a larger segment, that would take too long. */
export const largestTaken = 64 * 1024 * 1024;

export const takeReady = 'ready';

/** One segment, as it is offered. Its first `used` bytes follow the line. */
export interface Offer {
  readonly name: string;
  readonly size: number;
  readonly used: number;
  /** SHA-256 of these bytes, in hexadecimal. */
  readonly digest: string;
  readonly mtimeNs: bigint;
}

function formatTime(mtimeNs: bigint): string {
  const seconds = mtimeNs / 1_000_000_000n;
  const rest = (mtimeNs % 1_000_000_000n).toString().padStart(9, '0');
  return `${seconds.toString()}.${rest}`;
}

/** The line before the bytes. */
export function formatOffer({ name, size, used, digest, mtimeNs }: Offer): string {
  return `${name} ${size} ${used} ${digest} ${formatTime(mtimeNs)}\n`;
}

const frameWord = 'frame';

/** The line before the bytes of a frame. The commit proves them. */
export function formatFrameOffer(offer: {
  readonly name: string;
  readonly bytes: number;
  readonly mtimeNs: bigint;
}): string {
  return `${frameWord} ${offer.name} ${offer.bytes} ${formatTime(offer.mtimeNs)}\n`;
}

/**
 * Takes single segments on its standard input, for as long as the session lasts, and puts them into the inbox: what rsync
 * does for a batch. Whatever is not as it should be ends it, because nobody knows then how many bytes follow.
 *
 * A segment is complete, proved by its digest and flushed before it gets its name in the inbox. Even a script that is
 * killed late, while rsync sends the same segment, can therefore put nothing else under that name. `commit` does the
 * rest, and trusts it no more than what rsync has written.
 *
 * It stays in the root directory while it waits: the file system of the archive can be unmounted.
 */
export function takeScript(place: DeliveryPlace): string {
  return `LC_ALL=C; export LC_ALL; umask 077; unset TMOUT
cd / || exit 1
inbox=${inboxOf(place)}
part=$inbox/.taking
sound() {
  [ $# -eq 5 ] || return 1
  case $1 in *[!0-9A-F]*) return 1 ;; esac
  case $2 in '' | 0* | *[!0-9]*) return 1 ;; esac
  case $3 in '' | 0* | *[!0-9]*) return 1 ;; esac
  case $4 in *[!0-9a-f]*) return 1 ;; esac
  case $5 in '' | *.*.* | .* | *[!0-9.]*) return 1 ;; esac
  [ \${#1} -eq 24 ] && [ \${#2} -le 8 ] && [ \${#3} -le 6 ] && [ \${#4} -eq 64 ] && [ \${#5} -le 24 ] || return 1
  [ "$2" -le ${largestTaken} ] && [ "$3" -le ${mostTakenBytes} ] && [ "$3" -le "$2" ]
}
sound_frame() {
  [ $# -eq 3 ] || return 1
  case $1 in *[!0-9A-F]*) return 1 ;; esac
  case $2 in '' | 0* | *[!0-9]*) return 1 ;; esac
  case $3 in '' | *.*.* | .* | *[!0-9.]*) return 1 ;; esac
  [ \${#1} -eq 24 ] && [ \${#2} -le 10 ] && [ \${#3} -le 24 ]
}
read_dd() {
  dd bs=128k count="$1" iflag=fullblock,count_bytes
}
read_head() {
  head -c "$1"
}
# dd takes larger pieces, and sshd waits less often. Not every dd can count bytes, and none may take those of the next line.
reader=head
[ "$(printf abcd | { read_dd 3 2>/dev/null; printf ' '; cat; })" != 'abc d' ] || reader=dd
take_frame() {
  "read_$reader" "$2" 2>/dev/null > "$inbox/$1.zst" && touch -d "@$3" "$inbox/$1.zst" 2>/dev/null
}
digest() {
  sum=$(sha256sum < "$part" 2>/dev/null) && sum=\${sum%% *}
}
# A hole would be space that is missing when the server writes over a copy of this file.
fill() {
  fallocate -l "$1" "$part" 2>/dev/null || head -c "$2" /dev/zero 2>/dev/null >> "$part"
}
take() {
  head -c "$3" 2>/dev/null > "$part" && digest && [ "$sum" = "$4" ] || return 1
  fill "$2" $(($2 - $3)) && touch -d "@$5" "$part" 2>/dev/null && sync "$part" 2>/dev/null
}
enter() {
  cd ${shellQuote(place.archivedir)} 2>/dev/null && [ -f ${sentinelName} ] && [ -d "$inbox" ] && [ -w "$inbox" ]
}
enter || { echo no-inbox; exit 0; }
cd /
echo ${takeReady}
while read -r name size used sum stamp more; do
  if [ "$name" = ${frameWord} ]; then
    set -- "$size" "$used" "$sum"
    [ -z "$stamp$more" ] && sound_frame "$@" || { echo not-understood; exit 0; }
    enter || { echo no-inbox; exit 0; }
    take_frame "$@" || { echo "failed $1"; exit 0; }
    echo "taken $1"
    cd /
    continue
  fi
  set -- "$name" "$size" "$used" "$sum" "$stamp"
  [ -z "$more" ] && sound "$@" || { echo not-understood; exit 0; }
  enter || { echo no-inbox; exit 0; }
  if take "$@" && mv -f "$part" "$inbox/$1" 2>/dev/null; then
    echo "taken $1"
  else
    rm -f "$part"
    echo "failed $1"
    exit 0
  fi
  cd /
done
`;
}
