<?php
// Roundcube 1.6 for a vbox-lda site: what differs from its own defaults. Copy
// it to /etc/roundcube/vbox.inc.php and append to /etc/roundcube/config.inc.php,
// which has the database and the key of this machine (README.md):
//
//	include '/etc/roundcube/vbox.inc.php';
//
// Dovecot (contrib/dovecot) serves the mailboxes and keeps the scripts, so
// Roundcube needs no account of its own and no line for a user: who can log in
// by IMAP can read mail, see his quota and edit his filters.

// ssl://host:993 where it is another machine.
$config['imap_host'] = 'localhost:143';
// Sent with the user's own name and password. A smtp_host of 'localhost:25'
// with smtp_user = '' hands mail to this machine's MTA without asking.
$config['smtp_host'] = 'localhost:587';
$config['smtp_user'] = '%u';
$config['smtp_pass'] = '%p';
// Users log in with the whole address, in any case of letters.
$config['username_domain'] = '';
$config['login_lc'] = 2;

// Filters, out of office and forwarding in the settings. Dovecot's ManageSieve
// writes %h/sieve and the link %h/.dovecot.sieve; vbox-lda runs that at the
// next delivery.
$config['plugins'] = ['archive', 'zipdownload', 'managesieve'];
$config['managesieve_host'] = 'localhost:4190';
$config['managesieve_vacation'] = 1;
$config['managesieve_forward'] = 1;
// Names of folders as RFC 5228 has them; without this line "Büro" is written as
// "B&APw-ro", and mail goes to a folder of that name.
$config['managesieve_mbox_encoding'] = 'UTF-8';
// The script of a user who has none.
$config['managesieve_script_name'] = 'roundcube';
$config['managesieve_default'] = '';
// An answer goes out only for mail to an address of the user's (RFC 5230,
// 4.5); vbox-lda knows his aliases, so the list may stay empty.
$config['managesieve_vacation_addresses_init'] = false;
$config['managesieve_notify_methods'] = ['mailto'];

// Dovecot tells the quota by IMAP; it is shown below the folders.
$config['quota_zero_as_unlimited'] = true;

// As Dovecot's configuration of contrib names them; made when first wanted.
$config['drafts_mbox'] = 'Drafts';
$config['sent_mbox'] = 'Sent';
$config['trash_mbox'] = 'Trash';
$config['junk_mbox'] = 'Junk';
$config['create_default_folders'] = true;

// Users may change their passwords: with password/vbox.php among the plugin's
// drivers and password/sudoers in /etc/sudoers.d (README.md).
//$config['plugins'][] = 'password';
//$config['password_driver'] = 'vbox';
//$config['password_confirm_current'] = true;
//$config['password_minimum_length'] = 10;
