<?php

/**
 * Driver of Roundcube's password plugin for a vbox-lda site: hands address,
 * present and new password to `vboxadm user change-password`, which compares
 * the present one itself. Roundcube needs no right to read or write the
 * accounts, and cannot change a password that it does not know.
 *
 * password_vbox_command: the command, an array; the default goes by the line
 * of sudoers beside this file.
 */
class rcube_vbox_password
{
    public function save($curpass, $passwd, $username)
    {
        $command = rcmail::get_instance()->config->get('password_vbox_command',
            ['sudo', '-n', '/usr/local/sbin/vboxadm', '-q', 'user',
            'change-password']);

        // Each is a line.
        foreach ([$curpass, $passwd, $username] as $line) {
            if (strpbrk($line, "\r\n\0") !== false) {
                return PASSWORD_ERROR;
            }
        }

        // An array is no shell's business.
        $child = proc_open($command, [['pipe', 'r'], ['file', '/dev/null', 'w'],
            ['pipe', 'w']], $pipes);
        if (!is_resource($child)) {
            return PASSWORD_CONNECT_ERROR;
        }
        fwrite($pipes[0], "$username\n$curpass\n$passwd\n");
        fclose($pipes[0]);
        $said = stream_get_contents($pipes[2]);
        fclose($pipes[2]);

        switch (proc_close($child)) {
        case 0:
            return PASSWORD_SUCCESS;
        case 77:
            return PASSWORD_ERROR;
        }
        rcube::raise_error(['code' => 600, 'file' => __FILE__,
            'line' => __LINE__, 'message' => "Password plugin: $said"],
            true, false);

        return PASSWORD_CONNECT_ERROR;
    }
}
