/** Scripts that store WAL of a former primary in the archive of another host. */
import { shellQuote } from '../../system/shell-quote.ts';

/** WAL that is offered. */
export interface OfferedFile {
  readonly name: string;
  /** `archive`: WAL that the history there contains, under its own name; `diverged`: WAL that is only here. */
  readonly to: 'archive' | 'diverged';
  /** The last segment: only its beginning was written. */
  readonly isTail: boolean;
}

/** Where one run offers its files: in a directory of its own, in that of all runs of its host. */
export interface OfferPlace {
  readonly archive: string;
  /** The timeline of the former primary. */
  readonly timeline: number;
  readonly host: string;
  readonly run: string;
}

/** The directory of one run, in that of all runs of this host: a run that was killed has perhaps left its own. */
interface Incoming {
  readonly parent: string;
  readonly run: string;
}

/** Where what is in nobody's history is kept. */
export function divergedDirectory({ archive, timeline }: Pick<OfferPlace, 'archive' | 'timeline'>): string {
  return `${archive}/.diverged-${timeline}`;
}

/** Below the archive: the directories into which files are offered. */
export const offerPattern = /^\.diverged-\d+\/\.incoming-[\w.-]+\/[0-9a-f]+$/;

export function incomingOf(place: OfferPlace): Incoming {
  return { parent: `${divergedDirectory(place)}/.incoming-${place.host}`, run: place.run };
}

export function beginOfferScript(place: OfferPlace): string {
  const { parent, run } = incomingOf(place);
  return `umask 077; mkdir -p ${shellQuote(`${parent}/${run}`)}`;
}

/**
 * Flushes each file. One that belongs to the history gets its own name in the archive by a link, which replaces
 * nothing. All others, and one whose name has other bytes there, are kept in the folder above: if a former primary has
 * left a file of that name, under a name with a number. A line of answer for each file.
 *
 * Whole files of a killed run may be the last copies by now: they are kept, too, unless the archive has them.
 */
export function storeScript({ parent, run }: Incoming, files: readonly OfferedFile[]): string {
  const names = (which: (file: OfferedFile) => boolean) =>
    files
      .filter(which)
      .map(({ name }) => name)
      .join(' ');
  return `cd ${shellQuote(`${parent}/${run}`)} || exit 1
keep() {
  n=$2; i=2
  while ! ln "$1" "../../$n" 2>/dev/null; do
    [ -e "../../$n" ] || exit 1
    cmp -s "$1" "../../$n" && break
    n="$2.$i"; i=$((i+1))
  done
  echo "kept $n"
}
for f in ${names(({ to }) => to === 'archive')}; do
  sync "$f" || exit 1
  if ln "$f" "../../../$f" 2>/dev/null; then echo "stored $f"
  elif cmp -s "$f" "../../../$f"; then echo "present $f"
  else keep "$f" "$f"; fi
done
for f in ${names(({ to, isTail }) => to === 'diverged' && !isTail)}; do sync "$f" || exit 1; keep "$f" "$f"; done
for f in ${names(({ isTail }) => isTail)}; do sync "$f" || exit 1; keep "$f" "$f.partial"; done
for each in ../* ../*/*; do
  f=\${each##*/}
  [ "$each" = "../${run}/$f" ] || [ ! -f "$each" ] && continue
  cmp -s "$each" "../../../$f" || cmp -s "$each" "../../$f.partial" && continue
  sync "$each" || exit 1
  keep "$each" "$f" >/dev/null
done
sync ../.. ../../.. || exit 1
cd ../.. && rm -rf ${shellQuote(parent)}
rmdir "$PWD" 2>/dev/null
exit 0`;
}
