import { refusalsName } from '../../system/refusals.ts';
import { sentinelLockName, sentinelName } from '../../system/sentinel.ts';
import { shellQuote } from '../../system/shell-quote.ts';
import { refuseUnfitPlace } from './delivery.ts';

/** Where a sentinel may be put: nowhere, into an empty directory, or into any directory without one. */
export type PlantPermission = 'never' | 'if-empty' | 'always';

const permissionTests: Readonly<Record<PlantPermission, string>> = {
  never: 'echo no-sentinel; exit 0',
  // A file system that was made for the archive may have a lost+found of its own.
  'if-empty': `
  for other in * .[!.]* ..?*; do
    case $other in lost+found | .cmd_standby.lock | ${sentinelLockName} | ${refusalsName} | ${refusalsName}.1) continue ;; esac
    if [ -e "$other" ] || [ -h "$other" ]; then printf 'not-empty %s\\n' "$other"; exit 0; fi
  done`,
  always: ':',
};

/** Writes a sentinel if there is none and it is permitted; prints the existing one. Never replaces a sentinel. */
export function plantScript(
  archivedir: string,
  content: string,
  nonce: string,
  permission: PlantPermission,
): string {
  const temporary = `${sentinelName}.${nonce}`;
  return `
LC_ALL=C; export LC_ALL; umask 077
[ -d ${shellQuote(archivedir)} ] || { echo no-directory; exit 0; }
cd ${shellQuote(archivedir)} || exit 1
if [ ! -e ${sentinelName} ]; then
  ${permissionTests[permission]}
fi
${refuseUnfitPlace(`${temporary}.probe`, `${temporary}.link`)}
if [ ! -e ${sentinelName} ]; then
  trap 'rm -f ${temporary}' EXIT
  printf %s ${shellQuote(content)} > ${temporary} && sync ${temporary} || exit 1
  ln ${temporary} ${sentinelName} 2>/dev/null && sync . && { echo planted; exit 0; }
fi
echo present
cat ${sentinelName}
`;
}
