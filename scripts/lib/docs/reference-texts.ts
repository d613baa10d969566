/** The parts of the reference that are in no table. */

export const dialectText = `## The format of an INI file

- A key and its value are written as \`key: value\` or \`key = value\`, under a section header. Keys are not case-sensitive.
- \`[DEFAULT]\` contains the settings. Every key that another section does not set comes from it.
- A line that begins with \`;\` or \`#\` is a comment. After a value, a comment begins with a blank and \`;\`. In a
  shell command, therefore, write \`;\` without a blank before it.
- A line that is indented deeper than its key continues the key's value. The file as a whole may be indented.
- \`%(other_key)s\` or \`%(other_key)\` stands for the value of another key, \`%%\` for a single \`%\`.
- \`on\`, \`yes\`, \`true\` and \`1\` mean the same, and so do \`off\`, \`no\`, \`false\` and \`0\`.
- Paths are absolute: \`~\` is not expanded. A program can be given by its path, or by its name alone. The name is
  then searched for in \`includepath\` and on the PATH (\`pg_ctl\` also in the directories where packages install it).

All problems of a file are reported at once, each with its line: unknown keys with the known key that they resemble,
values that cannot be read, duplicate keys, and required keys that are missing. The program then exits 3 and does nothing. Files written for pitrtools 1.3 and 1.4
are read unchanged, apart from [keys of your own](upgrading.md#keys).`;

export const standbySectionText = `### The section of one standby

A section with the name of a standby in \`slaves\` overrides keys for that standby. Keys that it does not set come from
\`[DEFAULT]\`:

\`\`\`ini
[DEFAULT]
slaves: bitarena-clone, far-away
r_archivedir: /var/lib/postgresql/archive

[far-away]
host: 192.0.2.7
ssh: /usr/bin/ssh -p 2222
rsync_flags: -z --bwlimit=2000
\`\`\``;

export const tablespacesText = `### The section \`[tablespaces]\`

A tablespace of the primary is copied to the same path on the standby, unless this section names another. The paths
are absolute, and no new path may overlap with another one or with \`pgdata\`:

\`\`\`ini
[tablespaces]
/srv/fast = /data/fast
\`\`\``;
