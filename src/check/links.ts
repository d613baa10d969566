/** The symbolic links on the way to a directory: their owners could lead it elsewhere. */
import { quoted } from '../system/printable.ts';
import { shellQuote } from '../system/shell-quote.ts';
import { failure, good, unknown, type Verdict } from './check.ts';

/**
 * A POSIX sh script for this host or another one. It prints the user who runs it as `me UID`, each link on the way to the
 * path as `link UID PATH`, also those behind other links, and `walked` at the end.
 */
export function linksScript(path: string): string {
  return `(
set -f
left=${shellQuote(path)} gone= steps=0
echo "me $(id -u)"
while [ -n "$left" ] && [ "$steps" -lt 200 ]; do
  steps=$((steps + 1))
  left=\${left#/}
  part=\${left%%/*}
  case $left in */*) left=\${left#*/} ;; *) left= ;; esac
  case $part in ''|.) continue ;; ..) gone=\${gone%/*}; continue ;; esac
  if [ -n "$gone" ] && ! [ -x "$gone" ]; then
    if [ -e "$gone" ]; then exit 0; fi
    left=
    continue
  fi
  if [ -h "$gone/$part" ]; then
    set -- $(LC_ALL=C ls -ldn "$gone/$part")
    printf 'link %s %s\\n' "$3" "$gone/$part"
    to=$(readlink "$gone/$part") || exit 0
    case $to in /*) gone= ;; esac
    left=$to\${left:+/$left}
  else
    gone=$gone/$part
  fi
done
if [ -z "$left" ]; then echo walked; fi
)`;
}

/** @param lines what the script printed; `name`: the setting that has the path */
export function judgeLinks(name: string, path: string, lines: readonly string[]): Verdict {
  const me = lines.map((line) => /^me (\d+)$/.exec(line)?.[1]).find((uid) => uid !== undefined);
  const links = lines.flatMap((line) => {
    const [, uid = '', at = ''] = /^link (\d+) (.+)$/.exec(line) ?? [];
    return uid === '' ? [] : [{ uid, at }];
  });
  if (me === undefined || !lines.includes('walked'))
    return unknown(`the way to ${name} (${path}) could not be followed to its end`);
  const foreign = links.filter(({ uid }) => uid !== me && uid !== '0');
  const [first] = foreign;
  if (first !== undefined)
    return failure(
      `${foreign.map(({ at, uid }) => `${quoted(at, 300)} of the user with the id ${uid}`).join(', ')}: ${foreign.length === 1 ? 'a symbolic link' : 'symbolic links'} on the way to ${name} (${path}), by which another user can lead it elsewhere`,
      `Give each to root or to the user who reads it: chown -h USER ${quoted(first.at, 300)}. rsync 3.5 may refuse to follow it.`,
    );
  if (links.length === 0) return good(`no symbolic link is on the way to ${name} (${path})`);
  return good(
    `the symbolic links on the way to ${name} (${path}) belong to root or to us: ${links.map(({ at }) => quoted(at, 300)).join(', ')}`,
  );
}
