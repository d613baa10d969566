// The launchers have this file loaded before a program: an older Node.js cannot read the program, and would not name the cause.
// Therefore every Node.js can read this file.
'use strict';

var oldest = [20, 19];
var version = process.versions.node;
var parts = version.split('.').map(Number);

if (parts[0] < oldest[0] || (parts[0] === oldest[0] && parts[1] < oldest[1])) {
  process.stderr.write(
    'ERROR: "' +
      process.execPath +
      '" is Node.js ' +
      version +
      ', but ' +
      oldest.join('.') +
      ' or later is needed\n' +
      'HINT: Install a newer Node.js, or set PITRTOOLS_NODE to the path of one (doc/install.md).\n',
  );
  process.exit(4);
}
