package main

import "github.com/spf13/cobra"

func newFolder(a *app) *cobra.Command {
	return newGroup("folder", "Choose which folders are on this device, and how",
		`  shoal folder list
  shoal folder add ~/Pictures --name Photos`,
		newFolderAdd(a), newFolderList(a), newFolderJoin(a), newFolderRemove(a), newFolderMove(a), newFolderConfirm(a),
		newFolderPause(a), newFolderResume(a), newFolderSet(a))
}
